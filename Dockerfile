# The services, a target each:  docker build --target executor -t computehorde/executor .
# Also for engines without BuildKit, which build every stage above the target: smallest first.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

FROM python AS tools
# Certificates and package indexes of your own belong into a BASE of your own.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && python3 -m venv /tools \
    && /tools/bin/pip install --no-cache-dir uv
COPY pyproject.toml uv.lock ./

FROM tools AS executor-packages
RUN /tools/bin/uv sync --locked --no-install-project --no-default-groups --group executor
COPY compute_horde compute_horde
COPY executor executor
RUN python -m compileall -q compute_horde executor

# As root: it drives the engine through its socket and removes what jobs of any user wrote.
FROM python AS executor
COPY --from=executor-packages /app /app
# It lives for one job; the miner looks after it.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "executor"]

# Leads into the network of a streaming job; the executor starts one beside each.
FROM ${BASE} AS relay
RUN apt-get update \
    && apt-get install --yes --no-install-recommends socat \
    && rm -rf /var/lib/apt/lists/*
USER 65534:65534
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/socat"]

# The job of synthetic puzzles. Executors run it by the name computehorde/hash:v1.
FROM ${BASE} AS busybox
RUN apt-get update \
    && apt-get install --yes --no-install-recommends busybox-static \
    && rm -rf /var/lib/apt/lists/*

FROM scratch AS hash
COPY --from=busybox /bin/busybox /bin/busybox
COPY validator/synthetic/image/solve.sh /solve.sh
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENV PATH=/bin
USER 65534:65534
HEALTHCHECK NONE
ENTRYPOINT ["/bin/sh", "/solve.sh"]

# The same job with hashcat, which searches on GPUs of NVIDIA and, through POCL, on processors:
# computehorde/hashcat:v1, the parameter `image` of the kind `hash`. BASE needs hashcat's package.
FROM ${BASE} AS hashcat
RUN apt-get update \
    && apt-get install --yes --no-install-recommends hashcat ocl-icd-libopencl1 pocl-opencl-icd \
    && rm -rf /var/lib/apt/lists/* \
    && echo libnvidia-opencl.so.1 > /etc/OpenCL/vendors/nvidia.icd
COPY validator/synthetic/image/solve.sh /solve.sh
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65534:65534
HEALTHCHECK NONE
ENTRYPOINT ["/bin/sh", "/solve.sh"]

# The jobs of the kind `llm`, by the names computehorde/llm-prompts:v1 and llm-solver:v1. Without a
# runtime they have the tiny model. For real weights, which jobs get as a volume, name one of
# "llama-cpp-python" and "vllm", and a BASE with the compiler or the CUDA that it needs:
#   docker build --target llm-solver --build-arg LLM_RUNTIME=llama-cpp-python …
FROM ${BASE} AS llm
ARG LLM_RUNTIME=""
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ${LLM_RUNTIME:+python3-venv} \
    && rm -rf /var/lib/apt/lists/*
RUN if [ -n "$LLM_RUNTIME" ]; then \
        python3 -m venv /runtime && /runtime/bin/pip install --no-cache-dir "$LLM_RUNTIME"; \
    fi
ENV PATH=/runtime/bin:$PATH PYTHONPATH=/app HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY validator/__init__.py /app/validator/__init__.py
COPY validator/llm/__init__.py /app/validator/llm/__init__.py
COPY validator/llm/programs /app/validator/llm/programs
USER 65534:65534
HEALTHCHECK NONE

FROM llm AS llm-prompts
ENTRYPOINT ["python3", "-m", "validator.llm.programs.prompts"]

# An image whose runtime answers alike on every GPU of its class declares it: add "--deterministic".
FROM llm AS llm-solver
EXPOSE 8000
ENTRYPOINT ["python3", "-m", "validator.llm.programs.solver"]

# What servers stand on: nobody in particular. They also run as any other user, such as the owner
# of a hotkey file (`--user`), and with a read-only root: they write nothing but to their database.
FROM python AS server
RUN useradd --create-home --uid 10001 horde
ENV HOME=/home/horde BITTENSOR_RUNTIME_CACHE_DIR=/tmp/bittensor BTCLI_TOKEN_SYMBOLS_CACHE=/tmp/symbols

FROM tools AS facilitator-packages
RUN /tools/bin/uv sync --locked --no-install-project --no-default-groups --group facilitator
COPY compute_horde compute_horde
COPY facilitator facilitator
RUN python -m compileall -q compute_horde facilitator

FROM server AS facilitator
COPY --from=facilitator-packages /app /app
ENV FACILITATOR_HOST=0.0.0.0
USER horde
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s \
    CMD ["python", "-m", "facilitator", "health"]
ENTRYPOINT ["python", "-m", "facilitator"]
CMD ["web"]

FROM tools AS miner-packages
RUN /tools/bin/uv sync --locked --no-install-project --no-default-groups --group miner
COPY compute_horde compute_horde
COPY miner miner
RUN python -m compileall -q compute_horde miner

# ssh reaches the servers that run executors. There is no executor in it to run by itself.
FROM server AS miner
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-client \
    && rm -rf /var/lib/apt/lists/*
COPY --from=miner-packages /app /app
ENV MINER_HOST=0.0.0.0 MINER_EXECUTOR_MANAGER=docker
USER horde
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s \
    CMD ["python", "-m", "miner", "health"]
ENTRYPOINT ["python", "-m", "miner"]
CMD ["web"]

FROM tools AS validator-packages
RUN /tools/bin/uv sync --locked --no-install-project --no-default-groups --group validator
COPY compute_horde compute_horde
COPY validator validator
RUN python -m compileall -q compute_horde validator

FROM server AS validator
COPY --from=validator-packages /app /app
ENV VALIDATOR_HOST=0.0.0.0
USER horde
EXPOSE 8001
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s \
    CMD ["python", "-m", "validator", "health"]
ENTRYPOINT ["python", "-m", "validator"]
CMD ["web"]
