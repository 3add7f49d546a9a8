# The image of everything in charts/hami: docker build -t REGISTRY/hami:0.1.0 . For amd64 and arm64 alike.
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
# The NVIDIA plugin brings a C library.
# A pinned version would stop the build as soon as Debian replaces it; this stage is thrown away.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY native native
COPY src src
RUN python -m venv /opt/hami \
 && /opt/hami/bin/pip install --no-cache-dir \
      './src/hami_core[kubernetes,monitor]' ./src/hami_nvidia ./src/hami_mlu ./src/hami_ascend ./src/hami_dcu ./src/hami_iluvatar ./src/hami_mthreads

FROM python:${PYTHON}
COPY --from=build /opt/hami /opt/hami
ENV PATH=/opt/hami/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["hami"]
CMD ["--help"]
