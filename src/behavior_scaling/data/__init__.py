"""Events and items: sources, canonical tables, feature tokens, splits, windows, floors."""
