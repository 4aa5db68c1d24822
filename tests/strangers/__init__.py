"""Methods that only tests have: the program takes them in without knowing anything of them."""
