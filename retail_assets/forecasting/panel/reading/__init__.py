"""Files of a panel, read strictly: tables, keys, times and their frequency, the calendar, what is known ahead."""
