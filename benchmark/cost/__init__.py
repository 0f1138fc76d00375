"""What a run costs: counted, measured, foreseen."""
