# The server with the model in it, or with model/ mounted:
#   docker build -t evergreen . && docker run -p 5000:5000 evergreen
#   docker run -p 5000:5000 -v "$PWD/model:/app/model:ro" evergreen    # takes every newly deployed model into service
# The same image runs the loop, with data, model and reports mounted, writable for uid 10001:
#   docker run -v "$PWD/data:/app/data:ro" -v "$PWD/model:/app/model" -v "$PWD/reports:/app/reports" evergreen \
#     python scheduler.py

FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.txt requirements-serve.txt requirements.lock ./
# The very versions of the lock file, because a model is only sure to open with the libraries it was trained with.
# Its hashes are left out: pip refuses a constraint file that has them.
RUN python -m venv /venv \
    && sed -e '/^ *--hash=/d' -e 's/ \\$//' requirements.lock > constraints.txt \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        -r requirements.txt -r requirements-serve.txt -c constraints.txt \
    && /venv/bin/pip uninstall --yes pip
WORKDIR /app
COPY scheduler.py config.toml ./
COPY src ./src
# Compiled here: the server may not write, and would compile every module anew at every start.
RUN /venv/bin/python -m compileall -q src scheduler.py && mkdir data reports

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin evergreen
COPY --from=build /venv /venv
COPY --from=build /app /app
COPY model /app/model
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 5000
# Alive, not ready: a container without a model waits for one, and restarting it would not help.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/healthz', timeout=4)"]
CMD ["python", "src/serve.py", "--host", "0.0.0.0", "--port", "5000"]
