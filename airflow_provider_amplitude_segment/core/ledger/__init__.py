"""What is kept between syncs: claims, plans, journals, commits, and the state that they mean."""
