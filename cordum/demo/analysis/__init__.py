"""What the demo's workers compute. Knows neither cordum's worker API nor where the files lie."""
