"""Other systems' forms of what Brody Agents says."""
