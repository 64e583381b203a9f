"""The closed loop on the flights of 2013, played through from March to December."""
