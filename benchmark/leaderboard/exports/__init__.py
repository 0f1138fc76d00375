"""The board elsewhere: in other programs' forms, and frozen as a release."""
