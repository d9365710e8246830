"""A new business customer: a human decides by a link in a mail, or nobody does, or the customer withdraws."""
