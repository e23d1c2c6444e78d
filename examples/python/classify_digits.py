"""Classify images read row by row: handwritten digits as sequences of eight rows of eight pixels."""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

from pylstm import GRUClassifier, LSTMClassifier

images, digits = load_digits(return_X_y=True)
X = images.reshape(-1, 8, 8) / 16  # (n_samples, n_steps, n_features); pixels from 0 to 1
X, X_test, y, y_test = train_test_split(X, digits, random_state=0, stratify=digits)

line = LogisticRegression(max_iter=1000).fit(X.reshape(len(X), -1), y)
print(f"{'logistic regression':>22}: accuracy {line.score(X_test.reshape(len(X_test), -1), y_test):.3f}")

models = {
    "LSTM": LSTMClassifier(64, random_state=0),
    "GRU": GRUClassifier(64, random_state=0),
    "LSTM, both directions": LSTMClassifier(64, bidirectional=True, random_state=0),
}
for name, model in models.items():
    model.fit(X, y)
    print(f"{name:>22}: accuracy {model.score(X_test, y_test):.3f} after {model.n_iter_} epochs")

best = max(models.values(), key=lambda model: model.score(X_test, y_test))
print("Rows are what is written, columns what is read:")
print(confusion_matrix(y_test, best.predict(X_test)))

probabilities = best.predict_proba(X_test)
doubtful = probabilities.max(axis=1).argsort()[:3]
for row in doubtful:
    first, second = probabilities[row].argsort()[:-3:-1]
    print(f"a {y_test[row]} read as {first} ({probabilities[row, first]:.0%}), else {second}")
