"""What the HTML reports share: one self-contained page each, with its pictures inside."""
