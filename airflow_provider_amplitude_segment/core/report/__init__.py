"""What a sync says about itself."""
