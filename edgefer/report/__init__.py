"""Results as text and tables: pure functions over Evaluation and Measurement."""
