"""The program that the command serves by itself, with its pages."""
