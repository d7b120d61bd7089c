"""What is done to an answer before it is given: steps with names, in one order, and what follows from them."""
