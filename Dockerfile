# syntax=docker/dockerfile:1
# Each step is performed by tests/system/test_image.py in an empty folder; without an engine it cannot be built there.
FROM python:3.12-slim AS build
WORKDIR /src
COPY constraints/run.txt constraints/
RUN python -m venv /opt/fencepost && /opt/fencepost/bin/pip install --no-cache-dir --require-hashes -r constraints/run.txt
COPY . .
RUN /opt/fencepost/bin/pip install --no-cache-dir --no-deps --no-build-isolation . ./executor_sdk/python

FROM python:3.12-slim
RUN useradd --system --create-home --home-dir /var/lib/fencepost fencepost
COPY --from=build /opt/fencepost /opt/fencepost
USER fencepost
WORKDIR /var/lib/fencepost
ENV PATH=/opt/fencepost/bin:$PATH FENCEPOST_HOST=0.0.0.0 FENCEPOST_DATA_DIR=/var/lib/fencepost/data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["fencepost"]
CMD ["serve"]
