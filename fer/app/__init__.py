"""The Streamlit app: emotions of the faces in images, videos and a webcam."""
