"""Packages of zoos: queries chosen, crafted and sent, and what is said of them."""
