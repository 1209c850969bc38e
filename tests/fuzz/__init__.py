"""What happens under fire; each module takes a number of rounds on the command line."""
