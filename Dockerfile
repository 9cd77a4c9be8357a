# Build: docker build -t didomi-dataverse .
# Run:   docker run --read-only -p 8080:8080 -v ./config.yaml:/etc/didomi-dataverse/config.yaml:ro -v didomi-data:/data didomi-dataverse

FROM python:3.13-slim-trixie AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# The wheel is built in one environment and installed in another, so that nothing of the first reaches the image.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/didomi-dataverse
COPY requirements/ requirements/
RUN /opt/build/bin/pip install --require-hashes --only-binary :all: --no-deps -r requirements/build.txt \
 && /opt/build/bin/pip --python /opt/didomi-dataverse install --require-hashes --only-binary :all: --no-deps -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY src/ src/
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --no-index --wheel-dir dist . \
 && /opt/build/bin/pip --python /opt/didomi-dataverse install --no-deps --no-index dist/*.whl \
 && /opt/build/bin/pip --python /opt/didomi-dataverse check

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="didomi-dataverse" \
      org.opencontainers.image.description="Keeps the Contact table of Dynamics 365 / Dataverse in step with what people choose in Didomi" \
      org.opencontainers.image.licenses="MIT"
# Bytecode was written when the packages were installed; at run time the root may be read-only.
ENV PATH=/opt/didomi-dataverse/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DIDOMI_DATAVERSE_CONFIG=/etc/didomi-dataverse/config.yaml
COPY --from=build /opt/didomi-dataverse /opt/didomi-dataverse
# The one folder that is written to: the SQLite file of the default store.url lands here. A number, not a name, so
# that a platform can see that it is not root.
RUN install -d -o 10001 -g 10001 -m 0750 /data
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8080
# Alive, not ready: whoever restarts unhealthy containers must not do so because the store is busy or a drain is under
# way. Traffic is decided by /readyz. Another port is best set by the variable below, which the service reads too.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('DIDOMI_DATAVERSE__SERVER__PORT', '8080') + '/livez', timeout=4)"]
ENTRYPOINT ["didomi-dataverse"]
CMD ["serve"]
