"""An audit: thousands of invoices checked side by side, some failures tolerated, a report and its evidence."""
