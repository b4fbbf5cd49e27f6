"""The backend's log: structlog over the standard library's, so that whoever runs the server decides where it goes."""

import logging

import structlog

# Plain tracebacks: structlog's own choice prints every local variable, and with them the images of the request.
log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    logging.getLogger("backend"),
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
)
