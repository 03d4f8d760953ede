"""Replay the texts of boards.

The texts of the Raspberry Pis follow the Raspberry Pi documentation of vcgencmd and the kernel's documentation. Those
of the Jetsons follow NVIDIA's Jetson Linux Developer Guide. None was recorded on a board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgefer.device import platform
from edgefer.device.platforms.raspberry_pi import throttle_reasons

ZONE = "sys/class/thermal/thermal_zone0"
CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"
RAILS = (
    "     3V7_WL_SW_A current(0)=0.50000000A\n     VDD_CORE_A current(7)=2.00000000A\n"
    "     3V7_WL_SW_V volt(8)=3.70000000V\n     VDD_CORE_V volt(15)=0.80000000V\n     EXT5V_V volt(24)=5.10000000V\n"
)


@dataclass
class Texts:
    """Files of a board, and the outputs of its programs."""

    files: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    def at(self, root: Path) -> Path:
        for name, text in self.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return root

    def run(self, command: Sequence[str]) -> str | None:
        return self.outputs.get(" ".join(command))


def pi(model: str, *, bits: str, celsius: float, hertz: int, clock_id: int = 48, governor: str = "ondemand") -> Texts:
    return Texts(
        {
            "proc/device-tree/model": f"{model}\0",
            f"{ZONE}/type": "cpu-thermal\n",
            f"{ZONE}/temp": f"{celsius * 1000:.0f}\n",
            f"{CPUFREQ}/scaling_cur_freq": f"{hertz // 1000}\n",
            f"{CPUFREQ}/scaling_governor": f"{governor}\n",
            "proc/loadavg": "0.12 0.08 0.02 1/210 1234\n",
        },
        {
            "vcgencmd get_throttled": f"throttled={bits}\n",
            "vcgencmd measure_temp": f"temp={celsius}'C\n",
            "vcgencmd measure_clock arm": f"frequency({clock_id})={hertz}\n",
        },
    )


BOARDS = {
    "Pi 3B+": pi("Raspberry Pi 3 Model B Plus Rev 1.3", bits="0x80008", celsius=61.8, hertz=1200000000, clock_id=45),
    "Pi 4B": pi("Raspberry Pi 4 Model B Rev 1.5", bits="0x0", celsius=48.2, hertz=1800404352),
    "Pi 5": pi("Raspberry Pi 5 Model B Rev 1.0", bits="0x50005", celsius=85.1, hertz=1500019456, clock_id=0),
    "Zero 2 W": pi("Raspberry Pi Zero 2 W Rev 1.0", bits="0x50000", celsius=44.0, hertz=1000000000, clock_id=45),
}
BOARDS["Pi 5"].outputs["vcgencmd pmic_read_adc"] = RAILS
NANO = Texts(
    {
        "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
        f"{ZONE}/type": "AO-therm\n", f"{ZONE}/temp": "45500\n",
        "sys/class/thermal/thermal_zone1/type": "CPU-therm\n", "sys/class/thermal/thermal_zone1/temp": "38000\n",
        f"{CPUFREQ}/scaling_cur_freq": "1479000\n", f"{CPUFREQ}/scaling_governor": "schedutil\n",
        "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN\n",
        "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input": "2250\n",
        "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_1": "POM_5V_GPU\n",
        "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power1_input": "40\n",
        "sys/class/thermal/cooling_device0/type": "pwm-fan\n", "sys/class/thermal/cooling_device0/cur_state": "2\n",
    }
)  # fmt: skip
ORIN = Texts(
    {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        f"{ZONE}/type": "cpu-thermal\n", f"{ZONE}/temp": "51250\n",
        f"{CPUFREQ}/scaling_cur_freq": "1510400\n", f"{CPUFREQ}/scaling_governor": "performance\n",
        "sys/class/hwmon/hwmon1/name": "ina3221\n",
        "sys/class/hwmon/hwmon1/in1_label": "VDD_IN\n", "sys/class/hwmon/hwmon1/in1_input": "5000\n",
        "sys/class/hwmon/hwmon1/curr1_input": "1200\n",
        "sys/class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV\n", "sys/class/hwmon/hwmon1/in2_input": "5000\n",
        "sys/class/hwmon/hwmon1/curr2_input": "300\n",
        "sys/class/thermal/cooling_device4/type": "cpu-throttle-alert\n",
        "sys/class/thermal/cooling_device4/cur_state": "1\n",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "now", "since_boot", "celsius", "mhz", "watts"),
    [
        ("Pi 3B+", ("soft temperature limit",), ("soft temperature limit",), 61.8, 1200, None),
        ("Pi 4B", (), (), 48.2, 1800, None),
        ("Pi 5", ("under-voltage", "throttled"), ("under-voltage", "throttled"), 85.1, 1500, 0.5 * 3.7 + 2.0 * 0.8),
        ("Zero 2 W", (), ("under-voltage", "throttled"), 44.0, 1000, None),
    ],
)
def test_state_of_raspberry_pis(tmp_path, name, now, since_boot, celsius, mhz, watts) -> None:
    texts = BOARDS[name]
    root = texts.at(tmp_path)
    assert platform.detect_platform(root=root)[0] == "raspberry_pi"
    sample = platform.sample_state(7.0, root=root, run=texts.run)
    assert (sample.throttled, sample.throttled_since_boot) == (now, since_boot)
    assert sample.temperature_c == celsius
    assert round(sample.clock_mhz or 0) == mhz
    assert sample.power_w == pytest.approx(watts)
    assert (sample.elapsed_s, sample.governor, sample.load_average) == (7.0, "ondemand", 0.12)


def test_a_pi_without_vcgencmd_reports_the_sensors_of_the_kernel(tmp_path) -> None:
    root = BOARDS["Pi 4B"].at(tmp_path)
    hwmon = tmp_path / "sys/class/hwmon/hwmon2"
    hwmon.mkdir(parents=True)
    (hwmon / "name").write_text("rpi_volt\n")
    (hwmon / "in0_lcrit_alarm").write_text("1\n")
    sample = platform.sample_state(0.0, root=root, run=lambda command: None)
    assert sample.throttled == ("under-voltage",)
    assert sample.temperature_c == 48.2
    assert round(sample.clock_mhz or 0) == 1800


def test_throttling_bits_have_the_documented_order() -> None:
    names = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
    assert [throttle_reasons(1 << bit) for bit in range(5)] == [*((name,) for name in names), ()]


@pytest.mark.parametrize(
    ("texts", "celsius", "mhz", "watts", "throttled"),
    [(NANO, 38.0, 1479.0, 2.25, ()), (ORIN, 51.25, 1510.4, 6.0, ("cooling by cpu-throttle-alert",))],
    ids=["Nano", "Orin"],
)
def test_state_of_jetsons(tmp_path, texts, celsius, mhz, watts, throttled) -> None:
    root = texts.at(tmp_path)
    assert platform.detect_platform(root=root)[0] == "jetson"
    sample = platform.sample_state(0.0, root=root, run=texts.run)
    assert (sample.temperature_c, sample.clock_mhz, sample.throttled) == (celsius, mhz, throttled)
    assert sample.power_w == pytest.approx(watts)


def test_a_machine_without_sensors_is_not_an_error(tmp_path) -> None:
    assert platform.detect_platform(root=tmp_path)[0] == "generic_linux"
    sample = platform.sample_state(0.0, root=tmp_path, run=lambda command: None)
    assert (sample.temperature_c, sample.clock_mhz, sample.power_w, sample.throttled) == (None, None, None, ())


def test_no_throttling_differs_from_unknown_throttling(tmp_path) -> None:
    texts = BOARDS["Pi 4B"]
    state = platform.read_state(root=texts.at(tmp_path), run=texts.run)
    assert (state["throttled"], state["temperature_c"]) == ((), 48.2)
    assert "throttled" not in platform.read_state(root=tmp_path, run=lambda command: None)


def test_damaged_texts_are_ignored(tmp_path) -> None:
    texts = pi("Raspberry Pi 4 Model B Rev 1.5", bits="0xZZ", celsius=1.0, hertz=0)
    texts.outputs = {"vcgencmd get_throttled": "throttled=", "vcgencmd measure_temp": "VCHI initialization failed"}
    texts.files[f"{ZONE}/temp"] = "warm\n"
    sample = platform.sample_state(0.0, root=texts.at(tmp_path), run=texts.run)
    assert (sample.throttled, sample.temperature_c) == ((), None)


def test_a_missing_or_failing_program_has_no_output() -> None:
    assert platform.run_command(["edgefer-has-no-such-program"]) is None
    assert platform.run_command(["false"]) is None
    assert platform.run_command(["echo", "yes"]) == "yes\n"


def test_an_orin_without_jetson_in_its_name_is_detected_by_its_chip(tmp_path) -> None:
    """The name as JetPack 5.1.1 gives it, by rbonghi/jetson_stats issue 400."""
    texts = Texts(
        {
            "proc/device-tree/model": "NVIDIA Orin Nano Developer Kit\0",
            "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
        }
    )
    assert platform.detect_platform(root=texts.at(tmp_path))[0] == "jetson"


def test_one_active_cooling_device_of_two_is_reported(tmp_path) -> None:
    thermal = "sys/class/thermal"
    files = {
        f"{thermal}/cooling_device0/type": "cpufreq-cpu0\n", f"{thermal}/cooling_device0/cur_state": "3\n",
        f"{thermal}/cooling_device1/type": "cpufreq-cpu0\n", f"{thermal}/cooling_device1/cur_state": "0\n",
    }  # fmt: skip
    root = Texts({**ORIN.files, **files}).at(tmp_path)
    reasons = platform.sample_state(0.0, root=root, run=lambda command: None).throttled
    assert reasons == ("cooling by cpu-throttle-alert", "cooling by cpufreq-cpu0")
