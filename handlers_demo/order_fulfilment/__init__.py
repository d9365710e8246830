"""An order: charge, reserve, notify the warehouse, confirm; or take it all back."""
