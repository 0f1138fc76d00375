"""The board as one HTML file to sort, filter and plot in; it needs the extra `page`."""
