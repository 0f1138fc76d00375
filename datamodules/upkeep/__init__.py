"""What is done to a dataset before it is trained on: look at every video, encode it anew."""
