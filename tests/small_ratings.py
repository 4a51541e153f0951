"""A small table of ratings, as text and as a DataFrame, and what it says."""

import pandas as pd

LINES = ["bob,7,1", "ann,7,5", "bob,9,4.5", "eve,11,2"]
TABLE = pd.DataFrame(
    {"who": ["bob", "ann", "bob", "eve"], "what": [7, 7, 9, 11], "stars": [1.0, 5.0, 4.5, 2.0]}
)


def entries(rated):
    """Return {(user, item): value} by their names."""
    places = zip(rated.users, rated.items, rated.values, strict=True)
    return {(rated.user_ids[i], rated.item_ids[j]): value for i, j, value in places}


EXPECTED = {("bob", 7): 1.0, ("ann", 7): 5.0, ("bob", 9): 4.5, ("eve", 11): 2.0}
