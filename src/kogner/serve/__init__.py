"""The server: requests of many clients, one model, and what keeps them apart. `kogner serve` starts it."""
