"""Before training: look at every video, encode them anew, go on after a kill."""
