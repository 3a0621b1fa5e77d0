"""One file per data set: from files to `fer.data.dataset.EmotionData`."""
