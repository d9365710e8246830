"""The dashboard: a page in the browser, a JSON API behind it, and what guards both.

`api` and `guard` are plain functions of a request; `server` puts them behind Starlette (extra `ui`), `function` behind a
function URL."""
