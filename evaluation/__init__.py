"""How good a model is: measures of what it makes, and the papers' studies."""
