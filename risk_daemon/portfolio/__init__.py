"""What is owned, what it is worth, and what flowed in and out."""
