"""Pages of datasets: freeze versions, read their rows with where they come from, download them."""
