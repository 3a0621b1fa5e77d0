"""The app: faces in pictures, films and before the webcam, judged in the browser."""
