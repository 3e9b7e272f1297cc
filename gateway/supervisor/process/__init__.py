"""Child processes: started, spoken to, waited for, and ended."""
