"""How files, folders and databases of each kind become named columns in chunks of rows."""
