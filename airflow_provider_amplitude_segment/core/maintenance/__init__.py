"""What a person does to ledgers by hand: list, roll back, erase."""
