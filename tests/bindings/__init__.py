"""What a guest finds of each family of WIT interfaces."""
