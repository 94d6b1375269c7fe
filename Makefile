# A newcomer's two commands are `make demo` and `make test`; everything runs in .venv, which tools/bootstrap.py builds.
PYTHON ?= python3
BACKEND ?= pytorch
# Seconds that the simulated robot drives, and whether no viewer is served.
DURATION ?= 60
HEADLESS ?=
# More arguments for the demo, such as DEMO_ARGS="--help".
DEMO_ARGS ?=
# More arguments for the benchmarks, such as BENCH_ARGS="--long --write".
BENCH_ARGS ?=

# The first Python of the PATH only builds .venv; one that was asked for must also be the one in it.
ENSURE = $(PYTHON) tools/bootstrap.py ensure $(if $(filter file,$(origin PYTHON)),,--this-python)
# What the tests, the linters and the benchmarks need.
ALL = ros demo test pytorch tensorflow litert onnx openvino serving convert benchmark simulation
RUN = $(PYTHON) tools/bootstrap.py run --

.PHONY: help demo demo-photos demo-lidar test lint bench docs clean demo-mcu

help:
	@echo "make demo                       a simulated robot that sees, drives and stops, with PyTorch"
	@echo "make demo BACKEND=tensorflow    the same with TensorFlow"
	@echo "make demo HEADLESS=1 DURATION=30   without a viewer, for so many seconds"
	@echo "make demo-photos                find objects in photos"
	@echo "make demo-lidar                 find things in a simulated lidar scan"
	@echo "make demo-mcu                   a microcontroller on a serial line: its cable pulled, its stop"
	@echo "make test                       linters, types and all tests"
	@echo "make lint                       linters and types only"
	@echo "make bench                      measure speed across processes"
	@echo "make docs                       write the generated pages of docs/"
	@echo "make clean                      remove .venv and everything generated"
	@echo "PYTHON=python3.12 chooses the Python that builds .venv (3.10 to 3.13)."

# Both frameworks: the demo swaps one for the other while the robot drives.
demo:
	@$(ENSURE) ros simulation view bags pytorch tensorflow $(BACKEND)
	@$(RUN) robot_ai demo --backend $(BACKEND) --duration $(DURATION) $(if $(HEADLESS),--headless) $(DEMO_ARGS)

demo-photos:
	@$(ENSURE) ros demo $(BACKEND)
	@$(RUN) robot_ai demo-photos --backend $(BACKEND) $(DEMO_ARGS)

# LiteRT is the smallest that runs the learned method: DEMO_ARGS="--method pillars".
demo-lidar:
	@$(ENSURE) ros demo litert
	@$(RUN) robot_ai demo-lidar $(DEMO_ARGS)

demo-mcu:
	@$(ENSURE) ros demo
	@$(RUN) robot_ai demo-mcu $(DEMO_ARGS)

test: lint
	@$(ENSURE) $(ALL)
	$(RUN) python -m pytest test/simulation
	$(RUN) python -m pytest -n 2 --dist loadfile --max-worker-restart 0 --ignore test/simulation

lint:
	@$(ENSURE) $(ALL)
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) mypy tools interfaces/rosidl_wheel

bench:
	@$(ENSURE) $(ALL)
	$(RUN) python -m bench $(BENCH_ARGS)

docs:
	@$(ENSURE) ros
	$(RUN) robot_ai docs --write

clean:
	rm -rf .venv out build *.egg-info .mypy_cache .ruff_cache .hypothesis interfaces/*/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
