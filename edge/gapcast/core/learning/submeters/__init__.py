"""The online model of devices with submeters (smart plugs): its inputs, tables and state."""
