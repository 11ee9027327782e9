"""Messages of meters during ``gapcast setup``: recorded, and shown as the configuration would read them."""
