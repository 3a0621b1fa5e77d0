"""Components used on several pages: charts, tables, images, downloads."""
