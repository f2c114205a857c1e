"""One page a module. A page shows what it is given and says what was chosen; the controller knows what comes next."""
