# The HTTP server in a container: `docker build -t kling-video .`, then
#   docker run -p 8080:8080 -e KLING_HTTP_TOKEN=… -e RUNCOMFY_TOKEN=… -v kling-home:/data -v kling-clips:/clips kling-video
# It listens on all addresses inside, so it does not start without KLING_HTTP_TOKEN or KLING_HTTP_ISSUER.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE SKILL.md ./
COPY mcp_server mcp_server
COPY schemas schemas
COPY skill skill
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[media,scale]'

FROM python:3.13-slim
# The wheels of the stage above and no index: what it resolved is what is installed.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'kling-video[media,scale]'
RUN useradd --uid 10001 --no-create-home --home-dir /data kling \
    && install -d -o kling -g kling -m 0700 /data \
    && install -d -o kling -g kling /clips
ENV KLING_HOME=/data KLING_OUTPUT_DIR=/clips HOME=/data PYTHONUNBUFFERED=1
# By its number: a host that wants to know that it is not root cannot ask for a name.
USER 10001
VOLUME ["/data", "/clips"]
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
ENTRYPOINT ["kling-video"]
CMD ["serve", "--http", "--host", "0.0.0.0", "--port", "8080"]
