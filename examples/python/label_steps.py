"""Label every step of unequally long sequences: find where words begin in English written without spaces."""

import re
from pydoc_data.topics import topics  # the language reference, which comes with Python

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

from pylstm import LSTMClassifier

text = re.sub(r"\s+", " ", " ".join(topics.values()))
clauses = sorted({clause.lower() for clause in re.findall(r"(?<=[.,;:] )[A-Za-z][a-z ]{20,100}(?=[.,;:])", text)})


def cut(clause):
    """Return its letters as tokens, 0 for a, and for each letter whether a word begins there."""
    letters = clause.replace(" ", "")
    begins = np.cumsum([len(word) for word in clause.split(" ")])[:-1]
    return np.array([ord(letter) - ord("a") for letter in letters]), np.isin(np.arange(len(letters)), begins)


X, y = map(list, zip(*map(cut, clauses), strict=True))
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
lengths, share = [len(x) for x in X], np.concatenate(y).mean()
print(f"{len(X)} clauses of {min(lengths)} to {max(lengths)} letters, of which {share:.0%} begin a word")

model = LSTMClassifier(
    64, bidirectional=True, vocabulary_size=26, embedding_size=16, max_iter=20, learning_rate_init=0.01, random_state=0
).fit(X, y)
print(f"accuracy of letters {model.score(X_test, y_test):.3f}")
print(f"F1 of beginnings    {f1_score(np.concatenate(y_test), np.concatenate(model.predict(X_test))):.3f}")

for x, begins in zip(X_test[:3], model.predict(X_test[:3]), strict=True):
    letters = [chr(ord("a") + token) for token in x]
    print("".join(letters), "->", "".join(" " * bool(b) + letter for letter, b in zip(letters, begins, strict=True)))
