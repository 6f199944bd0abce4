"""What every room shares: argument checks, special functions, sentences about unknown names."""
