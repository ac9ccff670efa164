"""The Starlette application: routes, middleware, problem details, the page."""
