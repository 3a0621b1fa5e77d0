"""Colours, fonts and corner radius of the pages, for light and dark mode. Only system fonts are used."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"
_LIGHT = {
    "primaryColor": "#1f5f8b",
    "backgroundColor": "#fbfbfa",
    "secondaryBackgroundColor": "#f0f1ef",
    "textColor": "#1b1f24",
    "linkColor": "#1f5f8b",
    "borderColor": "#d5d8d6",
}
_DARK = {
    "primaryColor": "#7fb8e0",
    "backgroundColor": "#15181c",
    "secondaryBackgroundColor": "#1f242a",
    "textColor": "#e8eaed",
    "linkColor": "#8fc3e8",
    "borderColor": "#3a424b",
}
THEME = {
    "font": _FONT,
    "headingFont": _FONT,
    "codeFont": "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    "baseRadius": "8px",
    "headingFontSizes": ["1.75rem", "1.3rem", "1.1rem"],
    "headingFontWeights": [650, 600, 600],
    "showWidgetBorder": True,
    **{f"light.{name}": value for name, value in _LIGHT.items()},
    **{f"dark.{name}": value for name, value in _DARK.items()},
}
