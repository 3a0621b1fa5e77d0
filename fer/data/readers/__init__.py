"""One file per dataset: from files to `fer.data.dataset.EmotionData`."""
