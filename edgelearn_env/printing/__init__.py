"""What commands print: text as it is, tables that fit, in the letters that the output has; rich loads with it."""
